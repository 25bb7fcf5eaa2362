# node: nothing here yet
