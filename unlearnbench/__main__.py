"""`python -m unlearnbench`."""

from unlearnbench.cli.app import main

if __name__ == "__main__":
    main()
