"""The OpenAPI document: made from the routing tables, so that it says what is served."""
