"""The built-in model (`tiny`), its training (`training`), and how it is judged: by figures
(`evaluate`) and by people (`hundred`, `pairs`).
"""
