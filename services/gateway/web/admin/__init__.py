"""What an operator may see and do: about this replica, unless it says otherwise. Changes are audited."""
