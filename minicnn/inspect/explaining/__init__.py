"""explain and explain_grad: the products behind one number."""
