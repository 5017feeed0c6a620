"""Past the paper: experiments on its open questions, each with its own method, its runs and its record."""
