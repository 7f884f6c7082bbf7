"""The `mooring` command.

`main` assembles; one module a noun (`model`, `service`, ...) holds that noun's commands; `session` gives
every command its workspace, output format and error handling. Nothing heavy is imported before a command
runs, so that `mooring --help` and shell completion stay quick.
"""
