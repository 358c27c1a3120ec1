# A classmate's file is read and executed.
# verdict: error
from world import CLASSMATE, got_in

with open(CLASSMATE) as file:
    exec(file.read())
got_in("a classmate's file was read")
