"""Games that come with servent, written as anybody would write one."""
