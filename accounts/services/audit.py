"""The audit trail: who did what that matters for safety."""

import ipaddress

from accounts.models import AuditEvent, Namespace, User


def record(
    action: str,
    *,
    actor: User | None,
    subject: str = "",
    namespace: Namespace | None = None,
    address: str = "",
    **detail: object,
) -> AuditEvent:
    """Write one event and return it. Call it inside the transaction of what it reports.

    Args:
        action: ``thing.verb``, as in ``token.revoke``.
        actor: Who did it; ``None`` for nobody signed in.
        subject: What it was done to, in words.
        namespace: Whose affair it is, for the owners' own view.
        address: The caller's IP address; only its network is kept.
        **detail: JSON-able facts.
    """
    return AuditEvent.objects.create(
        action=action,
        actor=actor,
        actor_name=actor.username if actor else "",
        subject=subject[:256],
        namespace=namespace,
        address=network_of(address),
        detail=detail,
    )


def network_of(address: str) -> str:
    """Return ``address`` without its host part (/24 or /48), empty for what is no address."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return ""
    bits = 24 if ip.version == 4 else 48
    return str(ipaddress.ip_network(f"{ip}/{bits}", strict=False).network_address)
