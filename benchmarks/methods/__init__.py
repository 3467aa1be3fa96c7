"""What each method forgets and what it keeps, measured on facts that the embedded model knows.

    make methods-table                          every method and scenario, into docs/methods.md
    python -m benchmarks.methods --method rocr --split development --scenario one --set ridge=0.02

From data to table: facts, forms, request and retain say what is asked and what is fitted on; cases
says which fits; fitting, greedy, served and likelihood make the numbers, kept item by item in
store; results and report turn them into the table, by the measures of lethe_projections.evaluation.
"""
