"""The box: a child process that runs a stranger's model, and the trusted side that talks to it.

Trusted side (never imports torch): ``client``, ``pool``, ``process``, ``setup``. Inside the child:
``child``, ``hardening``, ``kernel``, ``landlock``, ``seccomp``, ``loading``, ``generating``,
``detokenizing``, ``beams``. Both sides share ``protocol``, ``params`` and ``limits``, which hold
shapes only.
"""
