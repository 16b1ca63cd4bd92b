"""The whole design system under one name: ``{% load store_ui %}``.

Components show what they are given and never ask the database. ``docs/components.md`` lists
them, ``/_components`` shows them.
"""

from django import template

from store.core.templatetags import (
    store_blocks,
    store_charts,
    store_formats,
    store_forms,
    store_marks,
    store_parts,
    store_shell,
)

register = template.Library()

for part in (
    store_formats,
    store_marks,
    store_parts,
    store_charts,
    store_blocks,
    store_forms,
    store_shell,
):
    register.tags.update(part.register.tags)
    register.filters.update(part.register.filters)
