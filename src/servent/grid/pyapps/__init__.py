"""Python functions as apps: what marks them, what runs inside the component, and what builds it."""
