# runner: nothing here yet
