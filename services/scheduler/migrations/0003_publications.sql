-- What was published, by whom and why: journeys and programmes (a shop's rules), in the order of `seq`. A row without a
-- body withdraws. `published_at` is business time, `recorded_at` machine time. Rows are added, never changed.
CREATE TABLE publications (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('journey', 'programme')),
    shop text NOT NULL,
    name text NOT NULL CHECK (name <> ''),
    version text NOT NULL CHECK (version <> '' OR body IS NULL),
    body text,
    waiting text NOT NULL CHECK (waiting IN ('pin', 'migrate', 'drain')),
    why text NOT NULL CHECK (btrim(why) <> ''),
    published_by text NOT NULL CHECK (btrim(published_by) <> ''),
    published_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    needs_approval boolean NOT NULL
);
CREATE INDEX publications_name ON publications (kind, name, version);

-- What of it is, or was, in force: from business time `in_force_at` on, in the order of `place`. A publication without a
-- row here is proposed. Rows are added, never changed.
CREATE TABLE releases (
    place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    publication bigint NOT NULL UNIQUE REFERENCES publications (seq),
    approved_by text,
    in_force_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are the record of what was published: publish again instead', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER publications_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON publications
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER releases_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON releases
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Whatever program writes it: where two people are needed, the second is not the first.
CREATE FUNCTION refuse_own_approval() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    published record;
BEGIN
    SELECT published_by, needs_approval INTO published FROM publications WHERE seq = NEW.publication;
    IF published.needs_approval AND NEW.approved_by IS NULL THEN
        RAISE EXCEPTION 'publication % needs an approval', NEW.publication USING ERRCODE = 'check_violation';
    END IF;
    IF lower(btrim(NEW.approved_by)) = lower(btrim(published.published_by)) THEN
        RAISE EXCEPTION 'publication % cannot be approved by who published it', NEW.publication
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER releases_by_another BEFORE INSERT ON releases
FOR EACH ROW EXECUTE FUNCTION refuse_own_approval();

-- The versions kept so far become publications, each in force since it was first seen: what differs from the folder of
-- the next start is published then.
INSERT INTO publications (
    kind, shop, name, version, body, waiting, why, published_by, published_at, recorded_at, needs_approval
)
SELECT
    'journey', body::jsonb ->> 'shop', journey, version, body, 'migrate', 'kept before publications were', 'start-up',
    published_at, published_at, false
FROM journeys
ORDER BY published_at, journey;
INSERT INTO releases (publication, in_force_at, recorded_at)
SELECT seq, published_at, recorded_at FROM publications ORDER BY seq;
DROP TABLE journeys;

-- Of what is in force now: the shops whose customers are derived anew (null: all), and what that changed so far among
-- waiting steps. The row is still changed only under the table's EXCLUSIVE lock when other journeys are put in force, so
-- that no writer by the old ones is left when that commits. Deriving anew afterwards needs no such lock, for every writer
-- goes by the new ones: it holds the table in ROW SHARE mode as other writers do, and the row itself, so that one at a
-- time moves `reached_...`, before any customer's row.
ALTER TABLE journeys_in_force
ADD COLUMN shops text[],
ADD COLUMN gained bigint NOT NULL DEFAULT 0,
ADD COLUMN lost bigint NOT NULL DEFAULT 0,
ADD COLUMN moved bigint NOT NULL DEFAULT 0;
