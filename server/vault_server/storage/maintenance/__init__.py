"""Auditing a store and mending it.

report      what was looked at, found and mended
audit       register against files, both ways, and every generation by itself; `rules` of the tables
scrub       the same in the background, slowly, again and again
repair      what can be mended while the store is in use
"""

from vault_server.storage.maintenance.report import CheckReport, Problem, ProblemKind, Repair, ScrubPass, ScrubStatus

__all__ = ["CheckReport", "Problem", "ProblemKind", "Repair", "ScrubPass", "ScrubStatus"]
