"""Readers of one record, a module for each kind of file; `record` chooses by the suffix."""
