"""The verbs of ``study``: one file, one ``run`` each."""
