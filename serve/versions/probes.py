"""Owns the lines that a version has to answer: before it is published, and while it serves."""

LINES = (
    "replace leaking hydraulic hose on pump 3",
    "engine oil leak, repair and top up coolant",
    "left hand front tyre worn, change out",
    "inspect conveyor belt bearing making noise",
    "Angela Merkel met IBM's chairman in Paris on Friday",
    "Japan lost to Syria in their Group C match at Al-Nahyan stadium",
    "Pick up milk near Times Square before the Lakers game tonight",
    "Aspirin reduces the risk of stroke in patients with hypertension",
    "Order 4711: 20 valves DN50 to Hamburg by 12 May",
    "E-mail maria.gomez@example.com about invoice #20931 over $1,250.00",
    "",
)
"""Work orders first, then other things taggers are made for: some of it a model will know."""
