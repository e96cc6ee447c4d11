"""Linear-chain conditional random fields, and the schemes that tags of spans follow."""
