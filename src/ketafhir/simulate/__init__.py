"""A synthetic clinic: persons, their visits and infusions, and the messages and resources that tell of them.

Everything is drawn from a seed and the number of the patient. The same two give the same bytes on every machine: no clock, no
set decides an order, and numbers are made with + - * / alone, which IEEE 754 rounds the same everywhere.
"""
