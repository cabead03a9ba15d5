"""Pixels of Likeness, without Django and without Celery.

From outside use `child.py`: it runs the rest in a limited process. Values come back as frozen dataclasses,
a file that will not be taken as a `Refusal` with a sentence for the photographer.
"""
