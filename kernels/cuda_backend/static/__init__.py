"""What the compiled kernels say about themselves, without a GPU: registers, blocks that fit, and what their hottest loop is made of.

resources    compile a file, and read what each kernel needs
occupancy    how many blocks a multiprocessor holds, and what limits that
sass         the machine code: its instructions and loops
budget       what each kernel may need and what its loop must reach, on five architectures; the tests hold it
report       all of it side by side, for the rungs of convolution
"""
