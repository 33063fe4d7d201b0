"""summary: what each layer of a network is, costs and sees."""
