"""What another rule, another fund or another price would have done: each round alone, or the whole record carried on."""
