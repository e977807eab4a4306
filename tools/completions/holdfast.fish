# fish completion of the holdfast command, which itself knows its options and the paths in a file.
complete -c holdfast -a '(holdfast --complete (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)'
