"""What the commands share; imported by them in both ways."""


def greet(name):
    return f"Hello, {name}!"
