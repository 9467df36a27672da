"""Listed words found in a text, however they are spelled. Pure: neither a database nor a request is known here."""
