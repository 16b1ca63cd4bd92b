"""What is trending: use that is recent, of models that are not old."""

from django.db import connection

# A like counts 4 on its day and half as much each week later. Downloads are those of the last 30
# days (``Listing.downloads``), as an average day. Both fade with the age of the listing, by half
# in 90 days, so that new work has a chance beside what everybody has long known. Rounded, and
# written only where it differs: most listings of a large catalogue have neither likes nor
# downloads and are left alone.
_REFRESH = """
UPDATE catalog_listing l SET trending = fresh.score
FROM (
    SELECT x.repo_id, round(((
        coalesce(k.warmth, 0) * 4 + x.downloads / 30.0
    ) * power(0.5, greatest(extract(epoch FROM now() - x.created_at), 0) / (90 * 86400))
    )::numeric, 3)::float8 AS score
    FROM catalog_listing x
    LEFT JOIN (
        SELECT repo_id,
               sum(power(0.5, greatest(extract(epoch FROM now() - created_at), 0) / (7 * 86400)))
               AS warmth
        FROM catalog_like WHERE created_at > now() - interval '70 days' GROUP BY repo_id
    ) k ON k.repo_id = x.repo_id
) fresh
WHERE l.repo_id = fresh.repo_id AND l.trending IS DISTINCT FROM fresh.score
"""


def refresh_trends() -> int:
    """Work out every listing's ``trending`` anew. Safe to repeat.

    Returns:
        How many listings have another score now.
    """
    with connection.cursor() as cursor:
        cursor.execute(_REFRESH)
        return int(cursor.rowcount)
