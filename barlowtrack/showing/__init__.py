"""How neurons look, wherever they are shown: names, colours, small pictures."""
