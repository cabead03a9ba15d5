"""Placeholder while the supervisor is being written."""


def join_running_demo() -> None:
    """x"""


def main(arguments: list[str]) -> int:
    """x"""
    return 1
