"""Every metric once: name, kind, unit, one sentence. Labels never carry personal data or unbounded values."""

from prometheus_client import Counter, Gauge, Histogram

EVENTS_CONSUMED = Counter("orderwake_events_consumed_total", "Records taken from a topic.", ["topic"])
EVENTS_DUPLICATE = Counter("orderwake_events_duplicate_total", "Events seen before and dropped.", ["topic"])
EVENTS_SUPERSEDED = Counter(
    "orderwake_events_superseded_total", "States dropped because a newer one is out.", ["topic"]
)
EVENTS_ACCEPTED = Counter(
    "orderwake_events_accepted_total", "Events that ingest put on a canonical topic.", ["topic"]
)
EVENTS_PARKED = Gauge("orderwake_events_parked", "Events that wait for their order.")
DEAD_LETTERS = Counter(
    "orderwake_dead_letters_total", "Records refused, by topic and reason.", ["topic", "reason"]
)
RECORDS_LOST = Counter(
    "orderwake_records_lost_total", "Records that retention removed before they were read.", ["topic"]
)
CONSUMER_LAG = Gauge(
    "orderwake_consumer_lag_records", "Records between position and log end.", ["topic", "partition"]
)
HTTP_REFUSED = Counter("orderwake_http_refused_total", "Requests answered 4xx or 503, by reason.", ["reason"])
BATCH_SECONDS = Histogram(
    "orderwake_batch_seconds", "Time from a batch's arrival to its durable effect.", ["topic"]
)

STEPS_WAITING = Gauge("orderwake_steps_waiting", "Due steps in the future.")
STEPS_OVERDUE = Gauge(
    "orderwake_steps_overdue", "Steps whose time has come and that are not decided (held or queued)."
)
DECISIONS_FAILED = Counter(
    "orderwake_decisions_failed_total",
    "Times that a customer's due steps could not be decided, by what was raised.",
    ["error"],
)
DECISIONS = Counter("orderwake_decisions_total", "Decisions, by verdict and reason.", ["verdict", "reason"])
DECISION_LATENESS = Histogram(
    "orderwake_decision_lateness_seconds",
    "Business seconds between a step's due time and its decision.",
    buckets=(1, 10, 60, 300, 1800, 3600, 14400, 86400),
)
STEPS_CATCHING_UP = Gauge(
    "orderwake_steps_catching_up", "Steps so long overdue that the catch-up budget bears on them."
)
SWITCHES = Gauge("orderwake_switches", "Scopes that are paused or stopped now.", ["action"])
GUARD_RATE = Gauge(
    "orderwake_guard_rate",
    "Share of a journey's messages of the guard's window that drew a complaint, a bounce or an unsubscription.",
    ["shop", "journey", "limit"],
)
GUARD_TRIPS = Counter(
    "orderwake_guard_trips_total", "Journeys that a guard stopped.", ["shop", "journey", "limit"]
)
OUTBOX_WAITING = Gauge("orderwake_outbox_waiting", "Rows that the relay has not published yet.")

SENDS = Counter(
    "orderwake_sends_total", "Hand-overs to a provider, by channel and result.", ["channel", "result"]
)
SEND_SECONDS = Histogram("orderwake_send_seconds", "Time that a provider took to answer.", ["channel"])
PROVIDER_OPEN = Gauge(
    "orderwake_provider_open",
    "Whether a provider is left alone because it fails (1) or not (0).",
    ["provider"],
)
MESSAGES_HELD = Counter(
    "orderwake_messages_held_total",
    "Times that a claimed message was put back, by channel and reason.",
    ["channel", "reason"],
)
CAMPAIGNS_HELD = Counter(
    "orderwake_campaigns_held_total",
    "Journeys paused on a channel because providers refused what they say.",
    ["channel"],
)
CALLBACKS = Counter(
    "orderwake_callbacks_total", "Call-backs of providers answered, by status.", ["provider", "status"]
)
REPORTS = Counter(
    "orderwake_reports_total",
    "What providers reported, without what they said again.",
    ["provider", "said"],
)
LEDGER_UNKNOWN = Gauge(
    "orderwake_ledger_unknown_messages",
    "Messages of which nobody knows whether they were taken, by the age of the hand-over.",
    ["age"],
)
RECONCILED = Counter(
    "orderwake_reconciled_total",
    "Unknown messages looked into, by provider and what came of it.",
    ["provider", "result"],
)
LEDGER_STATE = Gauge("orderwake_ledger_messages", "Messages in the ledger, by state.", ["state"])

PAIRS_UPDATED = Counter("orderwake_pairs_updated_total", "Pair counts changed.")
REPLAYS_IGNORED = Counter(
    "orderwake_replays_ignored_total", "Records at or below a watermark, counted already.", ["stage"]
)
BEYOND_HORIZON = Counter(
    "orderwake_beyond_horizon_total", "Orders and returns too late to change what is counted."
)
COMPLEMENTS_PUBLISHED = Counter("orderwake_complements_published_total", "Complements records published.")
RECOMMENDATIONS = Counter(
    "orderwake_recommendations_total",
    "Requests for recommendations answered: full, short (fewer than asked), or not_modified.",
    ["result"],
)
RECOMMENDATION_SECONDS = Histogram(
    "orderwake_recommendation_seconds",
    "Time from a request for recommendations to its answer.",
    buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1),
)

CODES_LEFT = Gauge(
    "orderwake_codes_left", "Discount codes of a pool that no customer has yet.", ["shop", "pool"]
)

PAGE_ANSWERS = Counter(
    "orderwake_page_answers_total",
    "Requests of thank-you pages answered: offer, or the reason why there was none.",
    ["result"],
)
PAGE_SECONDS = Histogram(
    "orderwake_page_seconds",
    "Time from a thank-you page's request to its answer.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.25, 1.0),
)
WEBHOOKS = Counter(
    "orderwake_webhooks_total",
    "Attempts to tell a shop: done, waiting (to be tried again), gone (410), or failed (given up).",
    ["result"],
)

LINKS_FOLLOWED = Counter(
    "orderwake_links_followed_total",
    "Links in messages followed: clicked, opened (a picture), looked_ahead (a scanner or prefetch), expired, unknown, "
    "or not_noted (led on, but the click could not be recorded).",
    ["result"],
)
