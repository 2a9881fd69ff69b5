"""`subscriptions/listen`: callers hear of changes of all servers, whichever replica hears of them."""
