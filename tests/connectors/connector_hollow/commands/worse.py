raise ValueError("bad, too")
