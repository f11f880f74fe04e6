"""Runs a program to its end: `spawn.py OUTPUT PROGRAM ARGUMENTS...` prints its exit status, CPU seconds and peak KiB.

This is a small process of its own, because Linux starts the peak memory of a program at that of the process that started it.
"""
import os
import sys

output, *command = sys.argv[1:]
actions = [(os.POSIX_SPAWN_OPEN, 1, output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)]
child = os.posix_spawnp(command[0], command, os.environ, file_actions=actions)
_, status, usage = os.wait4(child, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
