"""FedMVP written a second time, from the formulas alone, as plainly as possible.

Slow on purpose: one image at a time, loops over heads, queries and tokens, float64, no fused
operation. It imports nothing of the package, so that both can only agree by computing the same
function. Gradients come from autograd over these elementary operations; a finite-difference test
checks autograd itself.
"""
