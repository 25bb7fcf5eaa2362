# runner/guest
