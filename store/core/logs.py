"""Structured logs: one line an event, with the request's id in every line it caused."""

import logging
import logging.config
from collections.abc import Mapping

import structlog

_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


class _News(logging.Filter):
    """Leaves out that ``/readyz`` said no: whoever asks it knows, and at a start it is usual."""

    def filter(self, record: logging.LogRecord) -> bool:
        return getattr(getattr(record, "request", None), "path", "") != "/readyz"


def configure(options: Mapping[str, str]) -> None:
    """Set up logging for this process.

    Args:
        options: ``level`` (debug, info, warning, error) and ``format`` (``text`` for people,
            ``json`` for a collector).
    """
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if options["format"] == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "line": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": _SHARED,
                    "processors": [
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        structlog.processors.format_exc_info,
                        renderer,
                    ],
                }
            },
            "filters": {"news": {"()": _News}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"handlers": ["stderr"], "level": options["level"].upper()},
            "loggers": {
                "django.server": {"level": "WARNING"},
                "django.request": {"filters": ["news"]},
                "botocore": {"level": "WARNING"},
                "boto3": {"level": "WARNING"},
                "fontTools": {"level": "WARNING"},  # tells every table of every font it cuts
                "fpdf": {"level": "WARNING"},
            },
        }
    )
