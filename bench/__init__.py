"""Measurements. They print tables and assert nothing about time: machines differ."""
