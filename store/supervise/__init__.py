"""``make run``: the whole store on one machine under one supervisor."""
