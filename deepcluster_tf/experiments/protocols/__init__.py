"""How the papers run and score their methods: what is fitted on, what is scored, and over which images; a file each."""
