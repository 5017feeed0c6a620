"""What the paper does not have, or has otherwise: DiffuSeq's network and layout, the warm start, sharpening."""
