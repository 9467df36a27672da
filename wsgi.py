"""For WSGI servers other than the one that ``pollsvc serve`` runs."""

from pollsvc.app import create_checked_app

app = create_checked_app()
