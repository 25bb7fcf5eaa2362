# policy: nothing here yet
