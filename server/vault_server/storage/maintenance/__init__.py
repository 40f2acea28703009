"""Auditing a store and mending it.

report      what was looked at, found and mended
audit       register against files, both ways; `rules` of its tables, `examine` one object
scrub       the same in the background, slowly, again and again
repair      what can be mended while the store is in use
"""

from vault_server.storage.maintenance.audit import audit
from vault_server.storage.maintenance.repair import repair
from vault_server.storage.maintenance.report import CheckReport, Problem, ProblemKind, Repair, ScrubPass, ScrubStatus

__all__ = ["CheckReport", "Problem", "ProblemKind", "Repair", "ScrubPass", "ScrubStatus", "audit", "repair"]
