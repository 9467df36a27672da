"""What leaves the building: mail and webhooks, written with the change and delivered by the worker."""
