"""Keeps answers of servers: results of tools by rule, lists and resources as their servers say."""
