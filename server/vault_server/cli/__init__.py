"""The commands `vault-grpc serve` and `vault-grpc check`.

serve           flags, environment and file; `process` one server process, `workers` several
check           a directory audited and mended
logging_config  log lines on standard error
"""
