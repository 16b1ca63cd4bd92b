"""What goes with a person or an organization that leaves. Their name stays taken; see accounts."""

from typing import Any

from accounts.models import Namespace, Organization, User
from catalog.models import Collection, Follow


def forget_owner(instance: User | Organization, **_signal: Any) -> None:
    """Delete the collections under a name and who follows it; runs in the leaving's transaction.

    Models are not here: nobody leaves while they have some.
    """
    field = "user" if isinstance(instance, User) else "organization"
    names = Namespace.objects.filter(**{field: instance})
    Collection.objects.filter(namespace__in=names).delete()
    Follow.objects.filter(namespace__in=names).delete()
