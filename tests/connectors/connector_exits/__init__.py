import sys

sys.exit("this connector wants to end the process")
