"""Auditing a store and mending it.

report      what was looked at, found and mended
audit       register against files, both ways; `examine` one object, `verify` its blocks
repair      what can be mended while the store is in use
directory   a directory from outside: opened, its register rebuilt when it must be, audited, mended
"""

from vault_server.storage.check.audit import audit
from vault_server.storage.check.repair import repair
from vault_server.storage.check.report import CheckReport, Problem, ProblemKind, Repair, ScrubPass, ScrubStatus

__all__ = ["CheckReport", "Problem", "ProblemKind", "Repair", "ScrubPass", "ScrubStatus", "audit", "repair"]
