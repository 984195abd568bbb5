"""structlog, set up once: JSON lines on stderr, with the service's name, never with personal data."""

import logging
import sys
import traceback
from pathlib import PurePath

import structlog


def configure(service: str, level: str = "info") -> None:
    """Set up logging for a process; later loggers come from `structlog.get_logger()`."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.WARNING,
        format='{"level": "%(levelname)s", "logger": "%(name)s", "event": "%(message)s"}',
    )
    logging.getLogger("aiohttp.server").addFilter(_without_the_request)


def _without_the_request(record: logging.LogRecord) -> bool:
    """Leave of what aiohttp tells of a failed request the kind of error and where: the rest quotes request and sender."""
    error = record.exc_info[1] if record.exc_info else None
    frames = traceback.extract_tb(error.__traceback__)[-3:] if error else []
    places = " > ".join(f"{PurePath(frame.filename).name}:{frame.lineno}" for frame in frames)
    record.msg = (
        f"a request failed: {type(error).__name__ if error else 'no error'} at {places or 'no place'}"
    )
    record.args, record.exc_info, record.exc_text = (), None, None
    return True
